"""The shop on one machine, without OpenFaaS and without any account: a gateway, a sandbox, and `make run`."""
