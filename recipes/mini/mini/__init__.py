"""The recipe of `mini`: data, training, evaluation and export of one small checkpoint. See ../README.md."""
