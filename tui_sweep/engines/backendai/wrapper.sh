# What runs a case inside a container; wrapper.py writes the case's own part before it and takes these
# comments out. For any POSIX shell. Names begin with _sweep_, as the case's variables are in this shell.
#
# Set before:
#   _sweep_name      the attempt's
#   _sweep_work      where to work, if it is there
#   _sweep_cgroup    the folder of memory counters; _sweep_cgroups, the file that says where in it we are
#   _sweep_tools     programs without which nothing works
#   _sweep_shell     what clean, build and exec are given to
#   _sweep_clean _sweep_build _sweep_exec _sweep_code
#   _sweep_default   "build" when that is the runtime's own
#   _sweep_kind      what exec is: command, code, main (the runtime's own) or nothing
#   _sweep_programs  names of the interpreter, the better one first; _sweep_flag, what takes program text
#   _sweep_awk       the encoder
# and functions: _sweep_environment exports the case's variables, _sweep_unpack takes what was carried out
# of the environment, _sweep_command starts a command with variables that no shell can have.
#
# A server that is restarted while a session comes up starts its command twice in one container (seen on
# 26.9.6), and whoever had no answer asks for it once more: the case begins once. A folder that only one can
# make is the mark; a later start waits for the first one's end, prints nothing, and ends with its code.
#
# The processes: this shell, with no trap at all, waits for the steps in the foreground, because a shell
# starts what runs in the background with SIGINT ignored for ever. An encoder for each stream and a
# watcher run in the background. The steps run in a session of their own, and the only descriptors
# they have are the two streams. When this shell is ended, the watcher reads the end of file of "say".

_sweep_first() {
  # Whether this is the first start in this container, which the start time of its first process tells.
  _sweep_once=
  read -r _sweep_v </proc/1/stat && set -- ${_sweep_v##*) } && _sweep_k=${20}
  for _sweep_n in "${TMPDIR:-/tmp}" /dev/shm /var/tmp .; do
    _sweep_once=$_sweep_n/.sweep-tui-once-$_sweep_name-${_sweep_k:-0}
    if mkdir -m 700 "$_sweep_once"; then
      echo $$ >"$_sweep_once/pid"
      return 0
    fi
    if [ -d "$_sweep_once" ]; then return 1; fi
  done 2>/dev/null
  _sweep_once=
}

_sweep_again() {
  # In place of a later start: wait until the first has left its code, or is gone for good.
  _sweep_n=0
  until [ -s "$_sweep_once/code" ] || [ "$_sweep_n" -ge 10 ]; do
    _sweep_p=
    read -r _sweep_p <"$_sweep_once/pid"
    _sweep_lives "${_sweep_p:-none}" || _sweep_n=$((_sweep_n + 1))
    sleep 1
  done 2>/dev/null
  _sweep_c=143
  { read -r _sweep_c <"$_sweep_once/code"; } 2>/dev/null
  exit "$_sweep_c"
}

_sweep_oom() {
  # How many processes of this container were killed for memory, in _sweep_killed.
  _sweep_killed=0
  while IFS=: read -r _sweep_n _sweep_k _sweep_v; do
    case ,$_sweep_k, in
      ,,) set -- "$_sweep_cgroup$_sweep_v/memory.events" "$_sweep_cgroup/memory.events" ;;
      *,memory,*) set -- "$_sweep_cgroup/memory$_sweep_v/memory.oom_control" "$_sweep_cgroup/memory/memory.oom_control" ;;
      *) continue ;;
    esac
    [ -r "$1" ] || shift
    [ -r "$1" ] || continue
    while read -r _sweep_k _sweep_v; do
      case $_sweep_k in oom_kill) _sweep_killed=$((_sweep_killed + _sweep_v)) ;; esac
    done <"$1"
  done 2>/dev/null <"$_sweep_cgroups"
}

_sweep_end() {
  # The last frame: exit code, step, number of processes killed for memory.
  printf '\036sweep-tui end %s %s %s\037\n' "$1" "$2" "$3"
  [ -z "$_sweep_once" ] || echo "$1" >"$_sweep_once/code"
  [ -z "$_sweep_d" ] || rm -rf "$_sweep_d"
}

_sweep_fail() {
  # The case cannot begin: a sentence for its stderr.
  printf '\036err 0 %s|sweep-tui: %s\037\n' "$((${#1} + 12))" "$1"
  _sweep_end "$3" "$2" 0
  exit "$3"
}

_sweep_lives() {
  # Whether a process does; nobody may have waited for one that does not.
  kill -0 "$1" || return 1
  read -r _sweep_v <"/proc/$1/stat" || return 0
  case $_sweep_v in *") Z "*) return 1 ;; esac
}

_sweep_watch() {
  # Ends the steps' session when the shell was ended, and a stream that somebody goes on holding open.
  _sweep_p= _sweep_k=
  while read -r _sweep_k _sweep_v; do
    case $_sweep_k in
      pid) _sweep_p=$_sweep_v ;;
      drain) break ;;
    esac
  done <"$_sweep_d/say"
  if [ "$_sweep_k" != drain ] && [ -n "$_sweep_p" ]; then
    kill -s TERM -- "-$_sweep_p" || kill -s TERM "$_sweep_p"
  fi 2>/dev/null
  _sweep_n=0
  while [ "$_sweep_n" -lt 50 ] && { _sweep_lives "$_sweep_o" || _sweep_lives "$_sweep_e"; } 2>/dev/null; do
    if [ "$_sweep_n" -ge 20 ]; then
      rm -f "$_sweep_d/open"
      printf %s "$_sweep_mark" 1<>"$_sweep_d/out"
      printf %s "$_sweep_mark" 1<>"$_sweep_d/err"
    fi
    sleep 0.1 >/dev/null 2>&1 || sleep 1 >/dev/null 2>&1
    _sweep_n=$((_sweep_n + 1))
  done
  [ "$_sweep_k" = drain ] || _sweep_end 143 stopped 0
}

_sweep_encode() {
  # $1: out or err. Signals to the container's processes must not cut off the last lines.
  trap '' HUP INT TERM
  export LC_ALL=C _sweep_d _sweep_mark "_sweep_stream=$1"
  exec awk "$_sweep_awk"
}

# The steps, in a shell of their own: clean, build and exec in turn. Descriptor 8 is the case's stderr and
# this shell's own stderr is nothing, because shells write "Killed" and the like there; 3 is told which
# step the code is of. In parentheses, because some shells redirect for a plain command in their own place.
_sweep_steps='
echo "pid $$" >&9
exec 9>&-
_sweep_s=$1 _sweep_n=$2 _sweep_b=$3 _sweep_z=$4
shift 4
if [ -n "$_sweep_n" ]; then ("$_sweep_s" -c "$_sweep_n") 2>&8 3>&- 8>&-; fi
if [ -n "$_sweep_b" ]; then
  ("$_sweep_s" -c "$_sweep_b" "$_sweep_z") 2>&8 3>&- 8>&-
  _sweep_c=$?
  if [ $_sweep_c -ne 0 ]; then
    echo build >&3
    exit $_sweep_c
  fi
fi
echo exec >&3
if [ $# -gt 0 ]; then ("$@") 2>&8 3>&- 8>&-; fi
'

_sweep_start() {
  # In place of this subshell: the steps; the arguments are what exec is.
  exec $_sweep_setsid /bin/sh -c "$_sweep_steps" /bin/sh "$_sweep_shell" "$_sweep_clean" "$_sweep_build" \
    "$_sweep_z" "$@" 2>/dev/null
}

_sweep_run() {
  # The steps, with the case's variables; prints which step the exit code is of. stdin is empty.
  exec 3>&1 </dev/null 1>"$_sweep_d/out" 8>"$_sweep_d/err"
  # With this the container's own sitecustomize has input() ask whoever listens, and wait for ever.
  unset _BACKEND_BATCH_MODE
  _sweep_environment
  _sweep_i=
  for _sweep_p in $_sweep_programs; do
    if _sweep_i=$(command -v "$_sweep_p"); then break; fi
  done
  _sweep_z=$_sweep_shell
  if [ "$_sweep_default" = build ]; then _sweep_z=${_sweep_i:-$_sweep_p}; fi
  case $_sweep_kind in
    code | main)
      if [ -z "$_sweep_i" ]; then
        _sweep_start /bin/sh -c 'echo "sweep-tui: this image has none of: $0" >&2; exit 127' \
          "$_sweep_programs"
      elif [ "$_sweep_kind" = code ]; then
        _sweep_command "$_sweep_i" "$_sweep_flag" "$_sweep_code"
      else
        _sweep_command /bin/sh -c "$_sweep_exec" "$_sweep_i"
      fi
      ;;
    command) _sweep_command "$_sweep_shell" -c "$_sweep_exec" ;;
    *) _sweep_start ;;
  esac
}

_sweep_first || _sweep_again
_sweep_d=
_sweep_mark=
{ read -r _sweep_mark </proc/sys/kernel/random/uuid; } 2>/dev/null
_sweep_mark=${_sweep_mark:-$$}
printf '\036sweep-tui begin 1 %s %s\037\n' "$_sweep_name" "$_sweep_mark"
if [ -d "$_sweep_work" ]; then cd "$_sweep_work"; fi
for _sweep_n in $_sweep_tools; do
  command -v "$_sweep_n" >/dev/null || _sweep_fail "this image has no $_sweep_n, which is needed" start 126
done
_sweep_setsid=$(command -v setsid)
_sweep_unpack
for _sweep_n in /dev/shm /tmp /var/tmp .; do
  _sweep_d=$_sweep_n/.sweep-tui-$$-$_sweep_mark
  if mkdir -m 700 "$_sweep_d" && mkfifo "$_sweep_d/out" "$_sweep_d/err" "$_sweep_d/say" &&
    : >"$_sweep_d/open"; then break; fi
  rm -rf "$_sweep_d"
  _sweep_d=
done 2>/dev/null
if [ -z "$_sweep_d" ]; then _sweep_fail 'no folder can be written in this container' start 126; fi
_sweep_oom
_sweep_before=$_sweep_killed
_sweep_encode out <"$_sweep_d/out" &
_sweep_o=$!
_sweep_encode err <"$_sweep_d/err" &
_sweep_e=$!
(
  trap '' HUP INT TERM
  _sweep_watch
) &
exec 9>"$_sweep_d/say"
_sweep_step=$(_sweep_run)
_sweep_c=$?
trap '' PIPE
echo drain >&9
exec 9>&-
wait "$_sweep_o" "$_sweep_e"
_sweep_oom
_sweep_end "$_sweep_c" "${_sweep_step:-stopped}" "$((_sweep_killed - _sweep_before))"
exit "$_sweep_c"
