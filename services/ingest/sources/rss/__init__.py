"""RSS and Atom feeds: fetched politely and safely, each entry once."""
