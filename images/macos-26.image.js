import { macosImage } from './macos.js'

export default macosImage('26', { called: 'tahoe' })
