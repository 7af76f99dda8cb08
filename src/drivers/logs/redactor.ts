/** Takes values that must not be seen out of text. */
export interface Redactor {
  /** From now on, until the returned function is called. Values of fewer than four characters are left alone: every text is full of them. */
  hide(value: string): () => void
  redact(text: string): string
}

const shortest = 4
/** cidery's own credentials are known by their form: `cidery_tok_…`, `cidery_key_…`, `cidery_enr_…`. */
const credentials = /\bcidery_(tok|key|enr)_[A-Za-z0-9_-]{16,}/g

/** Hides given values (as they are, and as JSON writes them), cidery's credentials, and passwords in URLs. */
export function createRedactor(): Redactor {
  const hidden = new Map<string, number>()

  return {
    hide(value) {
      const forms = [...new Set([value, JSON.stringify(value).slice(1, -1)])].filter((form) => form.length >= shortest)
      for (const form of forms) hidden.set(form, (hidden.get(form) ?? 0) + 1)
      return () => {
        for (const form of forms.splice(0)) {
          const count = (hidden.get(form) ?? 1) - 1
          if (count === 0) hidden.delete(form)
          else hidden.set(form, count)
        }
      }
    },
    redact(text) {
      let result = text.replace(credentials, 'cidery_$1_[hidden]').replace(/(:\/\/[^\s:/@]+:)[^\s/@]+@/g, '$1[hidden]@')
      // Longest first: a secret that holds another must not leave its rest behind.
      for (const value of [...hidden.keys()].sort((a, b) => b.length - a.length)) result = result.replaceAll(value, '[hidden]')
      return result
    },
  }
}
