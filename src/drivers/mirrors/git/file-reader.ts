/** Words for `git fetch` that make it read a repository on this host as an account that may read only what everybody may. */
export interface FileReader {
  readonly words: readonly string[]
}

/**
 * A `file:` URL is chosen by a job, and the agent may be root: the other side of the fetch runs as `nobody`, so that a job gets what its own account
 * could read as well, whatever alternates or symbolic links the repository has.
 */
export function fileReader(): FileReader {
  if (process.geteuid?.() !== 0) return { words: [] }
  const as = process.platform === 'darwin' ? 'sudo -n -u nobody' : 'setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs'
  // Git refuses a repository of another owner; here every repository is, and reading it does no harm.
  return { words: [`--upload-pack=${as} env GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=safe.directory GIT_CONFIG_VALUE_0='*' git-upload-pack`] }
}
