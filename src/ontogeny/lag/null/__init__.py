"""What fluctuates about the trends, and pairs in which nothing leads to compare it with."""
