"""How do networks compare?  What is published of them, their rows in groups, the table, and the picture."""
