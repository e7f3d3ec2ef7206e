"""Keys, signatures and what else keeps a bundle and an answer trustworthy."""
