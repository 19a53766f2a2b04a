"""int8 networks: the int8 specification, quantisation of a trained network, and the accuracy that it costs."""
