"""What readers that came later refuse: fields, lakes, pieces of statistics, requests of clients."""
