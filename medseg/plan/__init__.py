"""What the data says -> what will be done."""
