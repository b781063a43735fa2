"""Small files that cost a decoder much, and what each of them costs."""
