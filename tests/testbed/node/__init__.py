"""The node stand-in: plays the kubelet, the volume provisioner and the service DNS of a one-node cluster.

Containers are local processes in namespaces of their own, so real images are not needed and nothing is
downloaded. What it does not play: CNI, image pulls, `kubectl port-forward`, standard input of `kubectl exec`,
resource limits, native sidecars, life-cycle hooks and port translation (a Service's `port` must equal its
`targetPort` here).
"""

from tests.testbed.node.images import Image
from tests.testbed.node.standin import NodeStandIn

__all__ = ["Image", "NodeStandIn"]
