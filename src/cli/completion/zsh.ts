import type { CompletionTree } from './flatten.ts'
import { posixTables, posixWalk } from './posix-tables.ts'

/** The completion script for zsh: as a file \`_cidery\` in the fpath, or sourced after compinit. */
export function zshScript(tree: CompletionTree): string {
  const nouns = described(tree.nouns)
  const verbs = tree.nouns.flatMap(({ names, verbs: own }) =>
    own === undefined ? [] : [`    ${names.join('|')}) list=(${described(own)}) ;;`],
  )
  return `#compdef cidery
# zsh completion of cidery; load it with: source <(cidery completion zsh)
${posixTables(tree)}
${posixWalk}
_cidery_offer() {
  case "$1" in
    '='*) compadd -- \${=\${1#=}} ;;
    '@'*) compadd -- \${(f)"$("$_cidery_program" __complete "\${1#@}" 2>/dev/null)"} ;;
    directory) _files -/ ;;
    file) _files ;;
  esac
}

_cidery() {
  local -a list before
  local cur="\${words[CURRENT]}"
  _cidery_program="\${(Q)words[1]}"
  before=("\${(@)words[2,CURRENT-1]}")
  _cidery_walk "\${before[@]}"
  if [[ -n $_cidery_rest ]]; then
    _files
  elif [[ -n $_cidery_pending ]]; then
    _cidery_value "$_cidery_path $_cidery_pending"
    _cidery_offer "\${_cidery_reply#value }"
  elif [[ -z $_cidery_path ]]; then
    list=(${nouns})
    _describe -t commands 'command' list
  elif [[ $cur == -* ]]; then
    _cidery_options "$_cidery_path"
    compadd -- \${=_cidery_reply}
  else
    case "$_cidery_path" in
${verbs.join('\n')}
    esac
    if (( \${#list} )); then
      _describe -t commands 'command' list
    else
      _cidery_argument "$_cidery_path $_cidery_count"
      _cidery_offer "$_cidery_reply"
    fi
  fi
}

if [[ "\${funcstack[1]}" == _cidery ]]; then
  _cidery "$@"
else
  compdef _cidery cidery
fi
`
}

function described(words: readonly { readonly names: readonly string[]; readonly summary: string }[]): string {
  return words.map(({ names, summary }) => `'${names[0] ?? ''}:${quote(summary)}'`).join(' ')
}

function quote(text: string): string {
  return text.replaceAll('\\', '').replaceAll("'", '’').replaceAll(':', '\\:')
}
