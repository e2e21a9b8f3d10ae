"""What does a network cost?  A file for each question; none of them unrolls what repeats, unless it says so."""
