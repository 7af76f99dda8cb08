/** Every version of the macOS recipes: to take another one, change it here and lock the recipes anew. Ranges and `any` are checked in the image, exact ones installed. */
export const versions = {
  recipe: '3.6',
  llvm: '19.1.7',
  cmake: '3.30.5',
  node: '24.3.0',
  bun: '1.2.17',
  buildkiteAgent: '3.87.0',
  age: '1.2.1',
  yarn: '1.22.22',
  python311: '>=3.11 <3.12',
  python312: '>=3.12 <3.13',
}
