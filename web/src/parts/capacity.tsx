/** How much of a whole is used, as a bar and in words. */
export function Capacity({ used, total, unit }: { readonly used: number; readonly total: number; readonly unit: string }) {
  return (
    <span className="capacity">
      <span className="capacity-bar" aria-hidden="true">
        <span style={{ width: `${total === 0 ? 0 : Math.min(100, (100 * used) / total)}%` }} />
      </span>
      <span>
        {used.toLocaleString('en-US')} of {total.toLocaleString('en-US')} {unit}
      </span>
    </span>
  )
}
