"""A Docker host as data: from its networks, containers and published ports follow a topology and a rule set."""

from testbed.docker.host import Container, DockerHost, Network, PublishedPort

__all__ = ["Container", "DockerHost", "Network", "PublishedPort"]
