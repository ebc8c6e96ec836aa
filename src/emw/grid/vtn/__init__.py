"""emw's own VTN of OpenADR 3.1: for those who have none, and for the site energy managers below emw."""
