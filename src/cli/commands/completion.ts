import { flattenTree } from '../completion/flatten.ts'
import { command, exitCodes } from '../declare.ts'
import { UsageError } from '../usage-error.ts'

export const completion = command({
  name: 'completion',
  summary: 'print the completion script of a shell',
  examples: [
    ['source <(cidery completion bash)', 'in ~/.bashrc'],
    ['source <(cidery completion zsh)', 'in ~/.zshrc, after compinit'],
    ['cidery completion fish > ~/.config/fish/completions/cidery.fish', 'for fish'],
  ],
  arguments: [{ name: '<shell>', about: 'bash, zsh or fish', completes: ['bash', 'zsh', 'fish'] }],
  prints: 'text',
  async run(cli, { args: [shell = ''], tree: commands }) {
    const tree = await flattenTree(commands)
    if (shell === 'bash') await cli.stdout.write((await import('../completion/bash.ts')).bashScript(tree))
    else if (shell === 'zsh') await cli.stdout.write((await import('../completion/zsh.ts')).zshScript(tree))
    else if (shell === 'fish') await cli.stdout.write((await import('../completion/fish.ts')).fishScript(tree))
    else throw new UsageError(`there is no completion for '${shell}'`, 'bash, zsh or fish')
    return exitCodes.ok
  },
})
