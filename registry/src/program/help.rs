//! The help texts. A line has at most 80 columns.

pub(super) const HELP: &str = "\
Artifacts and images to and from OCI registries, and caches.

Usage: bls-registry <push|pull|image|cache> ...
       bls-registry --help | --version

  push    put an artifact, or an image, into a registry: bls-compile push
  pull    take an artifact out of a registry: bls-load pull installs it too
  image   a container image of the loader and an artifact: bls-compile image
  cache   what many builders keep: bls-compile --cache URL

bls-registry help COMMAND says more.
";

pub(super) const PUSH: &str = "\
Put an artifact into a registry: a manifest for each architecture that it has
code for, in an index where there are several. Or an image, as image made it.

Usage: bls-compile push [OPTIONS] <REF> <FILE>...

REF is HOST[:PORT]/NAME[:TAG]; the tag is latest where none is said. FILE is an
artifact, or several of one release for different architectures; or one
.oci.tar. What is printed is the reference by digest, which nobody can change.

      --source <FILE>     push what the artifact was made of too, attached to it
      --cosign            and a signature of the digest, such as cosign
                          verify --key takes
      --key <KEY>         the key that signs it, as for compiling [default: key]
      --public-key <FILE>  the public half that the key must have
      --max-sign-time <DURATION>  how long a signer may take [default: 1m]
      --dry-run           say the reference by digest, and send nothing
      --signature <sha256:HEX=BASE64>  a signature that was made before: for
                          bls-registry, which has no key
      --plain-http        without TLS; to this machine that is the default
      --authorities <FILE>  certificates (PEM) to trust beside Mozilla's
      --max-time <DURATION>  for all of it [default: 10m]
      --json              what was pushed, as JSON
  -q, --quiet             only the reference

Credentials are docker's: ~/.docker/config.json, or config.json in the folder
DOCKER_CONFIG, with its credential helpers (docker login, podman login).

Exit codes: 0 done, 1 refused or failed, 2 usage
Examples:
  bls-compile push ghcr.io/ann/app:1.2 app.bls
  bls-compile push localhost:5000/app:1 app.bls --source app.wasm
  bls-compile push --cosign --key release ghcr.io/ann/app:1.2 app.bls
  bls-compile push ghcr.io/ann/app-image:1.2 app.oci.tar
";

pub(super) const PULL: &str = "\
Take an artifact out of a registry, into a file: as much as this machine needs.
Digests and lengths are checked; whom to trust is asked by bls-load, which
verifies it as any file (bls-load pull installs it at once).

Usage: bls-registry pull [OPTIONS] <REF>

REF is HOST[:PORT]/NAME[:TAG][@sha256:HEX]; where there is a digest, it decides.

  -o, --output <FILE>     [default: NAME.bls here; - is stdout]
      --target <TARGET>   for that architecture, not this one: aarch64
      --plain-http        without TLS; from this machine that is the default
      --authorities <FILE>  certificates (PEM) to trust beside Mozilla's
      --max-time <DURATION>  for all of it [default: 10m]
      --json              what was taken, as JSON
  -q, --quiet             errors only

Exit codes: 0 done, 1 refused or failed, 2 usage
Examples:
  bls-registry pull ghcr.io/ann/app:1.2 && bls-load app.bls
  bls-registry pull --target aarch64 -o device.bls localhost:5000/app:1
";

pub(super) const IMAGE: &str = "\
Make a container image of two files, the static bls-load and an artifact, for
Docker, Podman, containerd and Kubernetes. The same files give the same bytes.

Usage: bls-compile image [OPTIONS] <FILE>...

FILE is an artifact, or several of one release for different architectures. The
image is for those of them that there is a loader for, and the artifact must be
one that the loader runs, for whoever is trusted.

  -o, --output <FILE>     [default: NAME.oci.tar here; - is stdout]
      --loader <ARCH=FILE>  the static bls-load for an architecture, for each
                          [default: for this one that beside bls-compile]
      --no-loader         the artifact alone, for all its architectures and for
                          nodes that run it with a loader of their own (bls-oci)
      --trust <FILE>      whom the image trusts: a public key or a plain trust
                          file, as /etc/bls/trust.json in it [default: nobody;
                          mount that file]
      --tag <NAME[:TAG]>  what the image is called [default:
                          localhost/NAME:latest]
      --json              what was made, as JSON
  -q, --quiet             errors only

It runs as user 65532, needs no root, no shell, no writable root file system and
no capability. Words behind the image are the guest's arguments.

Exit codes: 0 done, 1 refused or failed, 2 usage
Examples:
  bls-compile image app.bls --trust builder.pub
  bls-compile image app.bls --loader aarch64=target/bls/cross/aarch64/bls-load
  ctr images import app.oci.tar && ctr run --rm localhost/app:latest one
";

pub(super) const CACHE: &str = "\
An entry from a cache that builders share, or into it: GET and PUT below a URL.
bls-compile --cache URL starts it, and judges what comes.

Usage: bls-registry cache get [OPTIONS] <URL> <DIGEST> > entry.bls
       bls-registry cache put [OPTIONS] <URL> <DIGEST> < entry.bls
       bls-registry cache probe [OPTIONS] <URL>

A server has 5 seconds to be reached, and may be silent for 10.

      --authorities <FILE>  certificates (PEM) to trust beside Mozilla's
      --max-time <DURATION>  for all of it [default: 10m]

The variable BLS_CACHE_AUTHORIZATION holds the header Authorization, where the
server wants one (Bearer TOKEN). It is sent by TLS, or inside this machine.

Exit codes: 0 done, 1 refused or failed, 2 usage
";
