"""What runs centrally: consume records, keep their history in SQL, publish the fleet, answer questions."""
