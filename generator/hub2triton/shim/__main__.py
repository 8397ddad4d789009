"""`python -m hub2triton.shim` is hf-shim."""

import sys

from hub2triton.shim.command import main

sys.exit(main())
