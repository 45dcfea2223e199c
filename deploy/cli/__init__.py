"""The owner's command `pushcart`: orders, events, what needs a human, and the doctor, over the gateway.

One module for each group of commands; `root` puts them together, `connect` finds the shop, `output` prints.
"""
