"""The kinds of model an ensemble can have, one module each, behind one protocol."""
