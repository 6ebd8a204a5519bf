"""Training of the decoder that writes replies; nothing here is imported by what serves it.

`decoder` is one interface over causal language models; `sft`, `dpo` and `ppo` train adapters of it;
`curriculum` chooses what PPO learns from, `monitors` keeps what shows that a reward is hacked.
torch and transformers are imported here alone.
"""
