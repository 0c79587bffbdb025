"""How heavy functions run: devices, compiled code, number formats, memory."""
