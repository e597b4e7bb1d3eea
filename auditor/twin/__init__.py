"""The embedded exchange: serves sample accounts on 127.0.0.1 the way the venues document it, and fails on command.

It checks signatures with code of its own, so that what the connectors send is judged by something that shares nothing
with the signer. One module a venue, found by name; the demo and the tests are its only users.
"""
