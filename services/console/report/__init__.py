"""A report of one query over a period, as one file for people who never log in.

`reading` adds up the same panes as the console's series, `wording` says it in sentences, `figures`
says what is read first, `axes` labels the chart, `document` draws it with the console's pictures,
`printing` makes a PDF of it. Nothing is counted a second way.
"""
