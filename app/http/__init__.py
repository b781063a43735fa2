"""The HTTP contract: who gets in, what is read, how answers and errors look."""
