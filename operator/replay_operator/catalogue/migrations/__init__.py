"""Changes of the schema, oldest first in `versions/`. None is ever edited after a release."""
