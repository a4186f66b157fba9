#!/usr/bin/env bash
# The whole project with real containers: `make kind-up`, `make kind-demo`, `make kind-down`. docs/kind.md explains it.
# Every step may be done again: what is there already stays.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

cluster=replay
# The chart names the image by its appVersion.
image=replay-operator:$(sed -n 's/^appVersion: *"\{0,1\}\([^"]*\)"\{0,1\}$/\1/p' helm/replay-operator/Chart.yaml)
kubectl=(kubectl --context "kind-$cluster")

say() { printf 'kind: %s\n' "$*" >&2; }

die() {
  say "$*"
  exit 1
}

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || case $program in
      docker) die "docker is not installed, and kind's nodes are its containers: https://docs.docker.com/engine/install" ;;
      kind) die "kind is not installed: https://kind.sigs.k8s.io/docs/user/quick-start#installation" ;;
      kubectl) die "kubectl is not installed: https://kubernetes.io/docs/tasks/tools" ;;
      helm) die "helm is not installed, and the operator comes as a chart: https://helm.sh/docs/intro/install" ;;
      *) die "$program is not installed" ;;
    esac
  done
}

cluster_is_up() { kind get clusters 2>/dev/null | grep -qx "$cluster"; }

# secret NAMESPACE NAME KEY=VALUE...: values go through a pipe, so that no process list shows them.
secret() {
  local namespace=$1 name=$2 pair
  shift 2
  {
    printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: %s, namespace: %s}\nstringData:\n' "$name" "$namespace"
    for pair in "$@"; do printf '  %s: "%s"\n' "${pair%%=*}" "${pair#*=}"; done
  } | "${kubectl[@]}" apply -f - >/dev/null
}

secrets() {
  local key=kind api_secret
  if "${kubectl[@]}" -n replay get secret replay-operator-livekit >/dev/null 2>&1; then
    return
  fi
  say "making LiveKit's key"
  api_secret=$(openssl rand -hex 24)
  secret livekit livekit-keys "keys=$key: $api_secret"
  # Last: it is what says that both are there.
  secret replay replay-operator-livekit "url=ws://livekit.livekit:7880" "api-key=$key" "api-secret=$api_secret"
}

up() {
  need docker kind kubectl helm openssl
  docker info >/dev/null 2>&1 || die "docker does not answer: is its daemon running, and may you use it?"
  say "building $image"
  docker build --quiet --file operator/Dockerfile --tag "$image" . >/dev/null
  if cluster_is_up; then
    say "the cluster $cluster is there"
  else
    kind create cluster --config kind-config.yaml --wait 3m
  fi
  say "loading $image into the cluster"
  kind load docker-image --name "$cluster" "$image"
  "${kubectl[@]}" apply -f manifests/kind/namespaces.yaml
  secrets
  say "LiveKit and Redis"
  "${kubectl[@]}" apply -k manifests/kind
  say "the operator, its agent and a worker; the first time their images are pulled, which takes minutes"
  helm upgrade --install replay-operator helm/replay-operator --kube-context "kind-$cluster" --namespace replay \
    --values manifests/kind/values.yaml --wait --timeout 15m
  "${kubectl[@]}" -n livekit rollout status deployment/livekit --timeout 5m
  say "up. Next: make kind-demo"
}

demo() {
  need kind kubectl
  cluster_is_up || die "there is no cluster $cluster: make kind-up"
  local run=("${kubectl[@]}" -n replay) capture clip file
  say "alice joins the room standup, and a buffer records her camera"
  "${run[@]}" apply -k manifests/kind/demo
  "${run[@]}" rollout status deployment/alice --timeout 5m
  "${run[@]}" wait replaybuffer/alice-camera --for=condition=Recording --timeout=3m
  say "waiting until a quarter of the window, 15 s, is there"
  "${run[@]}" wait replaybuffer/alice-camera --for=jsonpath='{.status.window.seconds}' --timeout=2m
  capture=$("${run[@]}" create -f manifests/kind/demo/replaycapture.yaml -o name)
  say "saving the last 10 seconds as ${capture#*/}"
  if ! "${run[@]}" wait "$capture" --for=condition=Ready --timeout=3m; then
    "${run[@]}" describe "$capture"
    die "the clip was not ready in time"
  fi
  clip=$("${run[@]}" get "$capture" -o jsonpath='{.status.clip.path}')
  file=.demo/$(basename "$clip")
  mkdir -p .demo
  "${run[@]}" exec deployment/replay-agent -- cat "/archive/$clip" >"$file"
  "${run[@]}" get replaybuffers,replaycaptures
  say "the clip is $file"
}

# The tests of tests/real with LiveKit's own egress. Their people run on this machine, so it needs a way to the pods.
e2e() {
  need kind kubectl helm ip
  cluster_is_up || die "there is no cluster $cluster: make kind-up"
  [ "$(id -u)" -eq 0 ] || die "routes to the pods need root"
  local address pods
  "${kubectl[@]}" get nodes -o jsonpath='{range .items[*]}{.status.addresses[?(@.type=="InternalIP")].address} {.spec.podCIDR}{"\n"}{end}' |
    while read -r address pods; do ip route replace "$pods" via "$address"; done
  say "room for three small recordings on each worker"
  helm upgrade replay-operator helm/replay-operator --kube-context "kind-$cluster" --namespace replay \
    --reuse-values --set-json fleet.trackCompositeCpuCost=0.3 --wait --timeout 5m
  REPLAY_KIND_CONTEXT=kind-$cluster .venv/bin/python -m pytest tests/real/test_with_the_operator.py --real-rooms -rP
}

down() {
  need docker kind
  kind delete cluster --name "$cluster"
}

case ${1:-} in
  up | demo | e2e | down) "$1" ;;
  *) die "usage: $0 up | demo | e2e | down" ;;
esac
