/** One turn of the event loop: all that is runnable runs. */
export function turn(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve))
}
