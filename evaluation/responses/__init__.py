"""What replies are worth: measures that a constant sentence cannot win, and those published.

Owns the sets of posts with their replies (`threads`), floors that know no model (`floors`), the
published overlap (`published`), lift over another post's replies (`lift`), and the command
`groundswell models evaluate responses`. It trains nothing; whatever answers a post is an `Answer`.
"""
