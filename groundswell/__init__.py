"""What others write programs with: `groundswell.client`, which asks the API of a console.

Nothing here imports the rest of the project, so a script that asks for numbers loads no broker.
"""
