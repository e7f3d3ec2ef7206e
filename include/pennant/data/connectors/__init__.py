"""One module per provider: pure descriptions of what to ask and how to read it. `kinds` knows them all."""
