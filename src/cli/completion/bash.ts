import type { CompletionTree } from './flatten.ts'
import { posixTables, posixWalk } from './posix-tables.ts'

/** The completion script for bash 3.2 and newer. */
export function bashScript(tree: CompletionTree): string {
  const nouns = tree.nouns.map(({ names }) => names[0] ?? '').join(' ')
  return `# bash completion of cidery; load it with: source <(cidery completion bash)
${posixTables(tree)}
${posixWalk}
_cidery_offer() {
  case "$1" in
    =*) COMPREPLY=($(compgen -W "\${1#=}" -- "$2")) ;;
    @*) COMPREPLY=($(compgen -W "$("$_cidery_program" __complete "\${1#@}" 2>/dev/null)" -- "$2")) ;;
    directory) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -d -- "$2")) ;;
    file) compopt -o filenames 2>/dev/null; COMPREPLY=($(compgen -f -- "$2")) ;;
  esac
}

_cidery() {
  local cur="\${COMP_WORDS[COMP_CWORD]}" IFS=$' \\t\\n'
  _cidery_program="\${COMP_WORDS[0]}"
  COMPREPLY=()
  _cidery_walk "\${COMP_WORDS[@]:1:COMP_CWORD-1}"
  if [ -n "$_cidery_rest" ]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$cur"))
  elif [ -n "$_cidery_pending" ]; then
    _cidery_value "$_cidery_path $_cidery_pending"
    _cidery_offer "\${_cidery_reply#value }" "$cur"
  elif [ -z "$_cidery_path" ]; then
    COMPREPLY=($(compgen -W '${nouns} --help --version' -- "$cur"))
  elif [ "\${cur#-}" != "$cur" ]; then
    _cidery_options "$_cidery_path"
    COMPREPLY=($(compgen -W "$_cidery_reply" -- "$cur"))
  else
    _cidery_verbs "$_cidery_path"
    if [ -n "$_cidery_reply" ]; then
      COMPREPLY=($(compgen -W "$_cidery_reply" -- "$cur"))
    else
      _cidery_argument "$_cidery_path $_cidery_count"
      _cidery_offer "$_cidery_reply" "$cur"
    fi
  fi
}

complete -F _cidery cidery
`
}
