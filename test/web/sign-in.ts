import type { Page } from 'playwright-core'

/** Signs in as the first admin by the form, as people do. */
export async function signIn(page: Page, url: string, password: string): Promise<void> {
  await page.goto(url)
  await page.getByLabel('Name', { exact: true }).fill('admin')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('heading', { name: 'Fleet', exact: true }).waitFor()
}
