"""The Python client of ChatRoom: so far what is pure of it."""
