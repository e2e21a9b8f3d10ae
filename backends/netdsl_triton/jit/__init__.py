"""The Triton functions. Imported when a kernel is launched or compiled, so that plans can be made without Triton."""
