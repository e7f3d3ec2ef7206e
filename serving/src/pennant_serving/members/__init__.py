"""The kinds of model that a bundle can hold, one module each, behind one protocol; `kinds.py` names them."""
