"""The only code that talks to Linux: namespaces, links, sysctls, packet filters, conntrack, packet sockets."""
