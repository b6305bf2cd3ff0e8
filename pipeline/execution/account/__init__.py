"""What the account is worth, has earned and has paid; and how it is made flat without an executor."""
