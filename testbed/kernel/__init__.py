"""The only package that talks to Linux: namespaces, links, sysctls, packet filters, conntrack, packet sockets."""
