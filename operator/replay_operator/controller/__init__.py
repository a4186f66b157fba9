"""The operator process: gathers, calls the domain, carries out. The only place that imports kopf."""
