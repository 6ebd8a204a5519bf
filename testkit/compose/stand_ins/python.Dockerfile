# In place of python:*-slim-bookworm: Debian's Python 3.11, whatever version the tag names.
FROM groundswell-stand-in/debian:bookworm
RUN ln -s /usr/bin/python3 /usr/local/bin/python3 \
    && ln -s /usr/bin/python3 /usr/local/bin/python \
    && ln -s /usr/bin/pip3 /usr/local/bin/pip
CMD ["python3"]
