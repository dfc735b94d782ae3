# The environment of scripts/cvtrain and scripts/test: .venv in the repository root, one for both.
# Sourced with `name` (who speaks) and `root` (the repository) set. Written for bash 3.2, the one
# that macOS has.

environment=$root/.venv
stamp=$environment/cvtrain-stamp  # what .venv was made from, written last
workplace=$root/.venv.lock
unfinished=$workplace/unfinished  # there while .venv is being changed, and after an interruption

say() { printf '%s: %s\n' "$name" "$*" >&2; }

fail() { # STATUS WORDS
  local status=$1
  shift
  say "$@"
  exit "$status"
}

# prepare run|dev: returns with a .venv that has what `cvtrain` (run) or the tests too (dev) need.
# Once set up this starts no process but a cat, so that it costs milliseconds.
prepare() {
  # The path belongs to the recipe: an editable install remembers it, and the .venv of a copied
  # repository would run the code of the original.
  recipe=$root$'\n'$(cat "$root/pyproject.toml" "$root/constraints.txt")
  if ready "$1"; then return; fi

  find_python
  take_lock
  if ! ready "$1"; then # else another call set it up while this one waited
    set_up "$1"
  fi
  exec 9>&- # the lock
}

ready() {
  [ -e "$stamp" ] && [ ! -e "$unfinished" ] && [ -x "$environment/bin/python" ] || return 1
  local made
  made=$(<"$stamp")
  # dev adds to run, so it serves both.
  [ "$made" = "dev"$'\n'"$recipe" ] || [ "$made" = "$1"$'\n'"$recipe" ]
}

# Sets `python`: $PYTHON if given, else the newest that pyproject.toml takes and that has venv. The
# upper bound there is what dependencies support: argparse of 3.14 refuses the parser of Hydra 1.3.
find_python() {
  local candidate status version bounds lowest highest minor names="" needs other="" without_venv=""
  bounds=$(sed -n 's/^requires-python = ">=3\.\([0-9]*\),<3\.\([0-9]*\)"$/\1 \2/p' "$root/pyproject.toml")
  lowest=${bounds% *} highest=$((${bounds#* } - 1))
  for ((minor = highest; minor >= lowest; minor--)); do names="$names python3.$minor"; done
  needs="Python 3.$lowest to 3.$highest"
  for candidate in ${PYTHON:+"$PYTHON"} $names python3; do
    # Tried, not only looked up: a shim (pyenv's) may have the name and run nothing.
    status=0
    version=$("$candidate" -c '
import sys
print("%d.%d" % sys.version_info[:2])
if not (3, int(sys.argv[1])) <= sys.version_info[:2] <= (3, int(sys.argv[2])):
    sys.exit(3)
try:
    import ensurepip, fcntl, venv
except ImportError:
    sys.exit(4)' "$lowest" "$highest" 2>/dev/null) || status=$?
    if [ "$status" -eq 0 ]; then
      python=$candidate
      return
    fi
    if [ "$status" -eq 3 ]; then other=" ($candidate is $version)"; fi
    if [ "$status" -eq 4 ] && [ -z "$without_venv" ]; then without_venv=$candidate; fi
    if [ -n "${PYTHON:-}" ]; then break; fi
  done
  if [ -n "$without_venv" ]; then
    fail 2 "$without_venv lacks venv (on Debian and Ubuntu: apt install python3-venv)"
  fi
  if [ -n "${PYTHON:-}" ]; then
    fail 2 "PYTHON=$PYTHON: should be $needs${other:- (it does not run)}"
  fi
  fail 2 "needs $needs$other: install one, or name it: PYTHON=/path/to/python $0"
}

# Holds an flock on descriptor 9, which every child shares: the kernel drops it when the last of
# them is gone, so no lock is ever stale, and a pip that outlives this script still holds it. Taken
# through Python, as macOS has no flock command.
take_lock() {
  mkdir -p "$workplace" 2>/dev/null && [ -w "$workplace" ] ||
    fail 2 "cannot write in $root, where .venv belongs"
  exec 9>"$workplace/lock"
  "$python" -c '
import fcntl, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print(sys.argv[1] + ": waiting for another call that sets up .venv", file=sys.stderr)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    print(sys.argv[1] + ": no file locks here: do not start two at once", file=sys.stderr)
' "$name"
}

set_up() {
  local extras=$1 usable="" log=$environment/setup.log status=0 quiet="" seldom

  # What is there decides: a .venv that was set up here is brought up to date, one that somebody
  # else made is added to, and one that was interrupted, moved or lost its Python is made anew.
  if [ ! -e "$environment" ]; then
    say "setting up .venv (first use: a few minutes, 1.6 GB or, with CUDA, several more)"
  elif [ -e "$unfinished" ]; then
    say "setting up .venv from the start: an earlier set-up was interrupted or failed"
  elif [ ! -x "$environment/bin/python" ]; then
    say "setting up .venv from the start: its Python is gone"
  elif [ ! -e "$stamp" ]; then
    say "installing into the .venv found here (a few minutes)"
    usable=yes
  elif [ "$(sed -n 2p "$stamp")" != "$root" ]; then
    say "setting up .venv from the start: the repository has moved"
  else
    # An update leaves nothing out that was there.
    if [ "$(sed -n 1p "$stamp")" = dev ]; then extras=dev; fi
    say "bringing .venv up to date ($extras)"
    usable=yes
  fi

  # What is made anew is cleared first, which through a link would be another's environment.
  if [ -z "$usable" ] && [ -L "$environment" ]; then
    fail 2 ".venv should be a directory, is a link to $(readlink "$environment"), which would be cleared: remove the link"
  fi

  # Foreground children end on Ctrl-C in their own ways, so bash would take the next step.
  trap 'fail 130 "interrupted; the next call sets up .venv from the start"' INT
  trap 'fail 143 "terminated; the next call sets up .venv from the start"' TERM
  : >"$unfinished"
  if [ -z "$usable" ]; then
    "$python" -m venv --clear "$environment" >"$workplace/venv.log" 2>&1 ||
      fail 1 "could not make .venv: $(last_words "$workplace/venv.log")"
    # The pip that comes with Python may be years old and takes minutes to choose the versions that
    # today's takes seconds for. It does without the new one where there is none.
    "$environment/bin/python" -m pip install --quiet --disable-pip-version-check \
      --log "$workplace/pip.log" --retries 1 --upgrade pip >/dev/null 2>&1 || true
  fi

  rm -f "$log"
  # A terminal gets pip's progress, a file only its warnings and errors.
  if [ ! -t 2 ]; then quiet="--quiet --progress-bar off"; fi
  (
    cd "$root" # so that no character of the path means anything to pip
    if [ "$extras" = dev ]; then project=".[dev]"; else project=.; fi
    "$environment/bin/python" -m pip install $quiet --disable-pip-version-check --log "$log" \
      --no-compile -c constraints.txt -e "$project" >&2
  ) || status=$?
  if [ "$status" -ne 0 ]; then
    # Where pip gave up before it installed anything (no network, say), .venv is as it was. (Deeper
    # indented, the same line is about pip's own place for building cvtrain.)
    if [ -n "$usable" ] && ! grep -qs "^[^ ]* Installing collected packages" "$log"; then
      rm "$unfinished"
    fi
    fail 1 "pip failed ($status): $(last_words "$log") (all of it: $log)"
  fi

  # pip would do this on one core; it is no matter if a file cannot be compiled. Of what few commands
  # import, Python compiles on first use what it needs.
  seldom='torch/(_inductor|testing|ao|onnx)|ray/(data|rllib|serve|train|tune)|databricks|debugpy'
  seldom="$seldom|huggingface_hub|IPython|mlflow|mypy|pip|playwright|prompt_toolkit|pygments"
  seldom="site-packages/(.*/tests?|$seldom|setuptools|wandb)/"
  "$environment/bin/python" -m compileall -q -j 0 -x "$seldom" "$environment/lib" >/dev/null 2>&1 || true

  printf '%s\n' "$extras" "$recipe" >"$stamp"
  rm "$unfinished"
  trap - INT TERM
  say "set up: $environment"
}

last_words() { # LOG: the last error in it, else the last line
  { grep -o 'ERROR: .*' "$1" || tail -n 1 "$1"; } 2>/dev/null | tail -n 1
}
