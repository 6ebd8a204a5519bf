"""The post encoder: one backbone pass, a pooled embedding and one small head per question.

Training (`train`, `model`, `heads`, `export`) needs torch; `config`, `data` and `calibrate`
do not.
"""
