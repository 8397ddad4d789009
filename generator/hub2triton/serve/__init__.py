"""`serve-repo`: a model repository served by tritonserver and the shim, watched and repaired."""
