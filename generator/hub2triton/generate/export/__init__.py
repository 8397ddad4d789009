"""A model's graph for onnxruntime: found, or exported in a process of its own; and compared with torch."""
