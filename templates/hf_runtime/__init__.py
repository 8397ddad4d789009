"""The part of a generated model that is the same for every task: a model.py subclasses `Model` from here.

Plain Python, copied beside model.py, so that the folder works in any tritonserver whose Python has the
packages of the model's requirements.txt. Importing it imports neither torch nor transformers: what a
model.py imports decides how fast it starts, and that choice is model.py's own.
"""

from .error import InvalidInput
from .model import Answer, Model
from .row import Row
from .settings import Settings

__all__ = ["Answer", "InvalidInput", "Model", "Row", "Settings"]
