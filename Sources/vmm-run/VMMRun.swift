@main struct VMMRun { static func main() {} }
