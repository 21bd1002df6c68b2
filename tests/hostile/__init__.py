"""What comes from others and means harm: nothing of it runs, opens what it may not, or takes the machine."""
